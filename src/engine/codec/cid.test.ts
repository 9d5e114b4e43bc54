import { describe, expect, it } from 'vitest'
import { codeOf } from '../testing/property.ts'
import { multihashOfCid } from './cid.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('the multihash of a CID', () => {
  it('is the same in every version, codec and base', () => {
    // multiformats/cid README §Human Readable CIDs, and the same as js-multiformats writes it.
    const one = '12206e6ff7950a36187a801613426e858dce686cd7d7e3c0fc42ee0330072d245c95'
    for (const text of [
      'zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA',
      'bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su',
      'f015512206e6ff7950a36187a801613426e858dce686cd7d7e3c0fc42ee0330072d245c95',
    ]) {
      expect(hex(multihashOfCid(text))).toBe(one)
    }
    // The empty directory of IPFS, in both versions.
    expect(hex(multihashOfCid('QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn'))).toBe(
      hex(multihashOfCid('bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354')),
    )
  })

  it.each([
    '',
    'Qm',
    'nonsense',
    'bafkreidon73',
    'QmVnNF8vJyKLJ3W9xWsNgtdZQzHpk4HyRU2UqXGiFHp7',
    'f01551220',
    'f02551220',
    'f0155',
    'f01551201',
    'f0155120101ff',
    'f0180808080808080808080801201',
    `b${'a'.repeat(300)}`,
  ])('is not to be had of %s', (text) => expect(codeOf(() => multihashOfCid(text))).toBe('ERR_INVALID_ARGUMENT'))
})
