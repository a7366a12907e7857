// Bundles the interface into OUT: index.html, and a script and a style whose names hold their hash,
// so that a browser may keep them for ever.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const [out] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/main.tsx', style: 'src/style/style.css' },
  outdir: 'out',
  bundle: true,
  write: false,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
});

let page = await readFile(join(here, 'index.html'), 'utf8');
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
for (const { path, contents } of outputFiles) {
  const [stem, ending] = path.split(/[\\/]/).at(-1).split('.');
  const hash = createHash('sha256').update(contents).digest('hex').slice(0, 12);
  const name = `${stem}-${hash}.${ending}`;
  await writeFile(join(out, name), contents);
  page = page.replace(`${stem}.${ending}`, name);
}
await writeFile(join(out, 'index.html'), page);
