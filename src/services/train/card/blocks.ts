import { escaped } from './plot.ts';

/** What a card is made of, before it is Markdown or HTML. */
export type Block =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'table';
      readonly head: readonly string[];
      readonly rows: readonly (readonly string[])[];
    }
  /** `description` stands for it where there are no pictures. */
  | { readonly kind: 'plot'; readonly svg: string; readonly description: string };

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export interface Page {
  readonly title: string;
  readonly sections: readonly Section[];
}

/** The page as Markdown; in the place of a plot stands what it shows, in words. */
export function markdownOf({ title, sections }: Page): string {
  const parts = sections.flatMap((section) => [
    `## ${plain(section.title)}`,
    ...section.blocks.map((block) => {
      switch (block.kind) {
        case 'text':
          return plain(block.text);
        case 'table':
          return [block.head, block.head.map(() => '---'), ...block.rows].map(rowOf).join('\n');
        case 'plot':
          return plain(block.description);
      }
    }),
  ]);
  return `${[`# ${plain(title)}`, ...parts].join('\n\n')}\n`;
}

/** The page as one HTML file that needs nothing else: no script, no font, no picture from elsewhere. */
export function htmlOf({ title, sections }: Page): string {
  const parts = sections.map(
    (section) =>
      `<section><h2>${escaped(section.title)}</h2>${section.blocks.map(elementOf).join('')}</section>`,
  );
  return (
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">` +
    `<meta name="viewport" content="width=device-width, initial-scale=1">` +
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">` +
    `<title>${escaped(title)}</title><style>${STYLE}</style></head>\n` +
    `<body><main><h1>${escaped(title)}</h1>\n${parts.join('\n')}\n</main></body></html>\n`
  );
}

function elementOf(block: Block): string {
  switch (block.kind) {
    case 'text':
      return `<p>${escaped(block.text)}</p>`;
    case 'table': {
      const head = block.head.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join('');
      const rows = block.rows.map(
        (row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`,
      );
      return `<div class="table"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
    }
    case 'plot':
      return `<figure>${block.svg}<figcaption>${escaped(block.description)}</figcaption></figure>`;
  }
}

function rowOf(cells: readonly string[]): string {
  return `| ${cells.map((cell) => plain(cell)).join(' | ')} |`;
}

/** Names of fields and values come from whoever defined them: they are text here, neither marks nor elements. */
function plain(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll(/[`*_|[\]]/g, (mark) => `\\${mark}`)
    .replaceAll('<', '&lt;')
    .replaceAll(/\s*\n\s*/g, ' ');
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--faint:#d9dee5;--soft:#667085;--mark:#1f6feb}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#12161c;--faint:#2c343f;--soft:#98a2b3;--mark:#6ea8fe}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:auto;padding:1.5rem}
h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2.2rem}
.table{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.3rem .8rem .3rem 0;text-align:left;border-bottom:1px solid var(--faint);font-variant-numeric:tabular-nums}
figure{display:inline-block;margin:0 1.5rem 1rem 0;vertical-align:top;max-width:100%}svg{max-width:100%;height:auto}figcaption{color:var(--soft);max-width:22rem;font-size:.9rem}
.grid{stroke:var(--faint);fill:none}.tick{font-size:11px;fill:var(--soft)}.axis{font-size:12px;fill:var(--ink)}
.line{fill:none;stroke:var(--mark);stroke-width:2}.reference{fill:none;stroke:var(--soft);stroke-dasharray:4 4}.dot,.bar{fill:var(--mark)}
`.replaceAll('\n', '');
