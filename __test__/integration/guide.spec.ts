/** Every snippet of docs/guide.md and docs/operations.md runs as it stands there and prints what its last comment says. */
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { program, ROOT } from '../support/cli.ts'

interface Snippet {
  /** The heading above it, and which of its snippets it is. */
  readonly title: string
  readonly language: string
  readonly text: string
  /** What it prints: the comment behind its last blank line. */
  readonly output: string
}

const GUIDE = readFileSync(join(ROOT, 'docs', 'guide.md'), 'utf8')
const OPERATIONS = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8')
const snippets = [GUIDE, OPERATIONS].flatMap(snippetsOf)
const [first] = snippets

function snippetsOf(markdown: string): Snippet[] {
  return markdown.split(/^(?=##+ )/m).flatMap((section) => {
    const [, heading = ''] = /^#+ (.*)/.exec(section) ?? []
    const blocks = [...section.matchAll(/^```(js|ts)\n([\s\S]*?)^```$/gm)]
    return blocks.map(([, language = '', text = ''], index) => {
      const [, comment = ''] = /\n\n((?:\/\/ .*\n)+)$/.exec(text) ?? []
      const output = comment.replaceAll(/^\/\/ /gm, '')
      return { title: `${heading}, ${index + 1}`, language, text, output }
    })
  })
}

/** The whole program of a snippet: one that makes no swarm stands in the first one, in place of its output. */
function programOf({ text }: Snippet): string {
  if (/\bcreateSwarm\b/.test(text)) return text
  return first?.text.replace(/^console\.log\(.*\n/m, () => text) ?? ''
}

/** Run a program in a folder of its own, in the repository, where the package's own name resolves. */
async function run(t: ExecutionContext, snippet: Snippet) {
  const target = join(ROOT, 'target')
  await mkdir(target, { recursive: true })
  const cwd = await mkdtemp(join(target, 'guide-'))
  t.teardown(() => rm(cwd, { recursive: true, force: true }))
  const path = join(cwd, `snippet.m${snippet.language}`)
  await writeFile(path, programOf(snippet))
  return { path, ended: await program(process.execPath, [path], { cwd }) }
}

test('the guide has snippets, and the first one has a place for the others', (t) => {
  t.true(snippets.length > 20)
  t.true(first?.text.includes('\nconsole.log('))
  t.regex(GUIDE, /```sh\nnpm install ferroswarm\n```/)
})

test('what Node 22 cannot run, `await using`, is in one snippet, below a sentence that says so', (t) => {
  const newer = snippets.filter(({ text }) => text.includes('await using'))
  t.is(newer.length, 1)
  t.regex(GUIDE, /`await using` \(Node 24\)[^`]*\n\n```js\n[^`]*await using/)
  t.notRegex(readFileSync(join(ROOT, 'README.md'), 'utf8'), /await using/)
})

// One after another: each of them is two nodes in a process of its own.
for (const snippet of snippets) {
  test.serial(`it runs and prints what it says: ${snippet.title}`, async (t) => {
    const { path, ended } = await run(t, snippet)
    t.is(ended.code, 0, ended.err)
    t.is(ended.out, snippet.output)
    // A handler that throws is a warning, and nothing else writes there.
    if (!snippet.text.includes('throw new')) t.is(ended.err, '')
    if (snippet.language === 'ts') {
      const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
      const options = '--noEmit --strict --module nodenext --target es2023 --types node'
      const { code, out } = await program(process.execPath, [
        ...[compiler, '--ignoreConfig', ...options.split(' '), path]
      ])
      t.is(code, 0, out)
    }
  })
}
