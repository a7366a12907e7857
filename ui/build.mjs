// Bundles the interface into OUT: index.html, a style, the script of the first visit, and those of
// pages that are loaded when they are opened. Names hold a hash, so that browsers may keep them for ever.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const [out] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: { app: 'src/main.tsx', style: 'src/style/style.css' },
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  outdir: 'out',
  bundle: true,
  splitting: true,
  metafile: true,
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
for (const { path, contents } of outputFiles) await writeFile(join(out, basename(path)), contents);
let soon = '';
for (const [path, { entryPoint, imports }] of Object.entries(metafile.outputs)) {
  if (!entryPoint) continue;
  const [stem] = basename(path).split('-');
  page = page.replace(`${stem}.${path.split('.').at(-1)}`, basename(path));
  if (stem !== 'app') continue;
  for (const { path: needed, kind } of imports) {
    if (kind === 'import-statement') {
      soon += `    <link rel="modulepreload" href="static/${basename(needed)}">\n`;
    }
  }
}
page = page.replace('    <script', `${soon}    <script`);
await writeFile(join(out, 'index.html'), page);
