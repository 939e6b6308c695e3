/** Projects of js-libp2p with tests of their own: they pass with stock components, and once three imports are changed. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'ava'
import { declareReport, libp2pPrograms, mocha, type Run } from '../support/libp2p-programs.ts'

const PROJECTS = ['files', 'library']

const STOCK = /'@libp2p\/(noise|tcp|yamux)'/g

/** Changes the imports of a copy of a project; resolves to the number of them. */
async function move(folder: string, from: string, to: string): Promise<number> {
  await rm(join(folder, to), { recursive: true, force: true })
  await cp(join(folder, from), join(folder, to), { recursive: true })
  const configuration = join(folder, to, 'node.js')
  const text = await readFile(configuration, 'utf8')
  await writeFile(configuration, text.replace(STOCK, "'ferroswarm/libp2p'"))
  return text.match(STOCK)?.length ?? 0
}

async function compared(run: Run, folder: string, name: string) {
  const project = join('projects', name)
  const moved = `${project}-moved`
  const file = `${name}.test.js`
  return {
    name,
    imports: await move(folder, project, moved),
    stock: await mocha(run, [join(project, file)]),
    ours: await mocha(run, [join(moved, file)])
  }
}

await libp2pPrograms(async (run, folder) => {
  const projects: Awaited<ReturnType<typeof compared>>[] = []
  for (const name of PROJECTS) projects.push(await compared(run, folder, name))
  for (const { name, imports, stock, ours } of projects) {
    test(`the project ${name} has three imports to change`, (t) => {
      t.is(imports, 3)
    })
    declareReport(stock, ', with stock components')
    declareReport(ours, ', with three imports changed')
  }
})
