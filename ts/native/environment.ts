/** The engine of this environment (the main thread, or one worker), made when the first swarm needs it. */
import { native } from './addon.ts'
import { Engine } from './engine.ts'

let engine: Engine | undefined

/** The one engine of this environment. */
export function environment(): Engine {
  engine ??= new Engine(native)
  return engine
}

export { native }
