/** The stream suites with the `yamux` crate at the dialling end. */
import { useEngines } from '../support/pair.ts'

useEngines('yamux-crate', 'yamux')
await import('./stream-bytes.spec.ts')
await import('./stream-endings.spec.ts')
await import('./stream-states.spec.ts')
