/** Every snippet of the guide and of the pages on operations, resources, connections and gating runs, and prints its last comment. */
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { program, ROOT } from '../support/cli.ts'

interface Snippet {
  /** The heading above it, and its number below that. */
  readonly title: string
  readonly language: string
  readonly text: string
  /** Expected output: the comment after its last blank line. */
  readonly output: string
}

const GUIDE = readFileSync(join(ROOT, 'docs', 'guide.md'), 'utf8')
const OPERATIONS = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8')
const RESOURCES = readFileSync(join(ROOT, 'docs', 'resource-manager.md'), 'utf8')
const CONNECTIONS = readFileSync(join(ROOT, 'docs', 'connections.md'), 'utf8')
const GATING = readFileSync(join(ROOT, 'docs', 'gating.md'), 'utf8')
const MANAGER = readFileSync(join(ROOT, 'docs', 'connection-manager.md'), 'utf8')
const snippets = [GUIDE, OPERATIONS, RESOURCES, CONNECTIONS, GATING, MANAGER].flatMap(snippetsOf)
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

/** The program of a snippet. One that creates no swarm replaces the output of the first snippet. */
function programOf({ text }: Snippet): string {
  if (/\bcreateSwarm\b/.test(text)) return text
  return first?.text.replace(/^console\.log\(.*\n/m, () => text) ?? ''
}

/** Runs a program in a folder of its own in the repository, where the package's own name resolves. */
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

test('`await using`, which Node 22 cannot run, is in one snippet, below a sentence about it', (t) => {
  const newer = snippets.filter(({ text }) => text.includes('await using'))
  t.is(newer.length, 1)
  t.regex(GUIDE, /`await using` \(Node 24\)[^`]*\n\n```js\n[^`]*await using/)
  t.notRegex(readFileSync(join(ROOT, 'README.md'), 'utf8'), /await using/)
})

// Serial: each runs two nodes in a process of its own.
for (const snippet of snippets) {
  test.serial(`runs and prints its documented output: ${snippet.title}`, async (t) => {
    const { path, ended } = await run(t, snippet)
    t.is(ended.code, 0, ended.err)
    t.is(ended.out, snippet.output)
    // A throwing handler causes a warning; nothing else writes to stderr.
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
