/**
 * Commands of `peer.join` and of rooms; what is said in a room has a port of its own (rooms-port.ts).
 */

import type { Commander } from './control.ts'
import { placeOf } from './room-key.ts'
import type { RoomsPort } from './rooms-port.ts'

/** `rooms` throws where there are none, and where the engine is not running. */
export const roomCommands = (rooms: () => RoomsPort): Pick<Commander, 'joinRoom' | 'sendFile' | 'answerFile' | 'leaveRoom'> => ({
  joinRoom({ name, password, presence }, resolve, reject) {
    const joining = rooms()
    let leave: (() => void) | undefined
    let wanted = true
    placeOf(name, password)
      .then((place) => {
        if (!wanted) return
        // It may have stopped meanwhile.
        rooms()
        leave = joining.join(place, presence, (joined) => {
          leave = undefined
          resolve(joined, [joined.port])
        })
      })
      .catch(reject)
    return () => {
      wanted = false
      leave?.()
    }
  },
  sendFile: (file, resolve, reject) => rooms().sendFile(file, (fault) => (fault === undefined ? resolve(undefined) : reject(fault))),
  answerFile(answer, resolve) {
    rooms().answerFile(answer)
    resolve(undefined)
    return undefined
  },
  leaveRoom(id, resolve) {
    rooms().leave(id)
    resolve(undefined)
    return undefined
  },
})
