// How texts look in the editor. Colours are those of the style, in light and in dark.

import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Decoration, EditorView, MatchDecorator, ViewPlugin } from '@codemirror/view';
import { tags } from '@lezer/highlight';

const theme = EditorView.theme({
  '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--back)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', fontSize: 'var(--small)', lineHeight: '1.5' },
  '.cm-content': { caretColor: 'var(--text)', padding: '4px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': {
    backgroundColor: 'var(--back)',
    color: 'var(--faint)',
    borderRight: '1px solid var(--line)',
  },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'transparent' },
  '.cm-chosen': { backgroundColor: 'var(--pale)', boxShadow: 'inset 3px 0 0 var(--accent)' },
  '.cm-template': { color: 'var(--accent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
    { backgroundColor: 'color-mix(in srgb, var(--accent) 25%, transparent)' },
  '.cm-selectionMatch, .cm-searchMatch': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 15%, transparent)',
  },
  '&.cm-focused .cm-matchingBracket': {
    backgroundColor: 'transparent',
    outline: '1px solid var(--edge)',
  },
  '.cm-panels': { backgroundColor: 'var(--pale)', color: 'var(--text)' },
  '.cm-panels.cm-panels-bottom': { borderTop: '1px solid var(--line)' },
  '.cm-panel input, .cm-panel button': {
    fontSize: 'var(--small)',
    color: 'var(--text)',
    background: 'var(--back)',
    border: '1px solid var(--line)',
    borderRadius: '4px',
  },
  '.cm-tooltip': {
    backgroundColor: 'var(--back)',
    color: 'var(--text)',
    border: '1px solid var(--edge)',
    borderRadius: '4px',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': {
    fontFamily: 'var(--mono)',
    fontSize: 'var(--small)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    backgroundColor: 'var(--accent)',
    color: 'var(--back)',
  },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--failed)' },
  '.cm-lintRange-error': {
    backgroundImage: 'none',
    textDecoration: 'underline wavy var(--failed)',
    textUnderlineOffset: '3px',
  },
});

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.keyword], fontWeight: '600' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--success)' },
  { tag: [tags.punctuation, tags.bracket, tags.separator, tags.comment], color: 'var(--faint)' },
]);

const templates = ViewPlugin.define(
  (view) => {
    const found = new MatchDecorator({
      regexp: /\{\{.*?\}\}/g,
      decoration: Decoration.mark({ class: 'cm-template' }),
    });
    const made = {
      marks: found.createDeco(view),
      update(update: Parameters<typeof found.updateDeco>[0]) {
        made.marks = found.updateDeco(update, made.marks);
      },
    };
    return made;
  },
  { decorations: ({ marks }) => marks },
);

export const look = [theme, syntaxHighlighting(colours), templates];

/** A place for a view. In a shadow root CodeMirror adopts its styles, which the strict policy of the
 * page allows; in the page itself it would write them into an element, which the policy forbids. */
export function shadowIn(host: HTMLElement): ShadowRoot {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  root.replaceChildren();
  return root;
}
