/** Test vectors of RFC 8439 (https://www.rfc-editor.org/rfc/rfc8439), as far as an AEAD shows them. */

const bytes = (text: string): Uint8Array => Uint8Array.from(text.replace(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const zeros = (count: number): Uint8Array => new Uint8Array(count)

const KEY_0 = zeros(32)
const KEY_1 = bytes(`${'00'.repeat(31)} 01`)
const KEY_1C = bytes('1c9240a5eb55d38af333888604f6b5f0 473917c1402b80099dca5cbc207075c0')
const NONCE_0 = zeros(12)
const NONCE_2 = bytes(`${'00'.repeat(11)} 02`)

export interface SealVector {
  readonly from: string
  readonly key: Uint8Array
  readonly nonce: Uint8Array
  readonly ad: Uint8Array
  readonly text: Uint8Array
  /** Ciphertext ‖ tag. */
  readonly sealed: Uint8Array
}

export const sealVectors: readonly SealVector[] = [
  {
    from: '§2.8.2',
    key: bytes('808182838485868788898a8b8c8d8e8f 909192939495969798999a9b9c9d9e9f'),
    nonce: bytes('070000004041424344454647'),
    ad: bytes('50515253c0c1c2c3c4c5c6c7'),
    text: utf8("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."),
    sealed: bytes(`
      d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6 3dbea45e8ca9671282fafb69da92728b
      1a71de0a9e060b2905d6a5b67ecd3b36 92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
      3ff4def08e4b7a9de576d26586cec64b 6116
      1ae10b594f09e26a7e902ecbd0600691`),
  },
  {
    from: 'A.5',
    key: KEY_1C,
    nonce: bytes('000000000102030405060708'),
    ad: bytes('f33388860000000000004e91'),
    text: utf8(
      'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by other ' +
        'documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other than as ' +
        '/“work in progress./”',
    ),
    sealed: bytes(`
      64a0861575861af460f062c79be643bd 5e805cfd345cf389f108670ac76c8cb2 4c6cfc18755d43eea09ee94e382d26b0
      bdb7b73c321b0100d4f03b7f355894cf 332f830e710b97ce98c8a84abd0b9481 14ad176e008d33bd60f982b1ff37c855
      9797a06ef4f0ef61c186324e2b350638 3606907b6a7c02b0f9f6157b53c867e4 b9166c767b804d46a59b5216cde7a4e9
      9040c5a40433225ee282a1b0a06c523e af4534d7f83fa1155b0047718cbc546a 0d072b04b3564eea1b422273f548271a
      0bb2316053fa76991955ebd63159434e cebb4e466dae5a1073a6727627097a10 49e617d91d361094fa68f0ff77987130
      305beaba2eda04df997b714d6c6f2c29 a6ad5cb4022b02709b
      eead9d67890cbb22392336fea1851f38`),
  },
]

export interface StreamVector {
  readonly from: string
  readonly key: Uint8Array
  readonly nonce: Uint8Array
  /** At least 1: the block of counter 0 is the one-time key. */
  readonly counter: number
  readonly text: Uint8Array
  readonly ciphertext: Uint8Array
}

/** ChaCha20 alone; A.1 #1 and #5 and A.2 #1 begin at counter 0 and can't be reached. */
export const streamVectors: readonly StreamVector[] = [
  {
    from: 'A.1 #2',
    key: KEY_0,
    nonce: NONCE_0,
    counter: 1,
    text: zeros(64),
    ciphertext: bytes(`
      9f07e7be5551387a98ba977c732d080d cb0f29a048e3656912c6533e32ee7aed
      29b721769ce64e43d57133b074d839d5 31ed1f28510afb45ace10a1f4b794d6f`),
  },
  {
    from: 'A.1 #3',
    key: KEY_1,
    nonce: NONCE_0,
    counter: 1,
    text: zeros(64),
    ciphertext: bytes(`
      3aeb5224ecf849929b9d828db1ced4dd 832025e8018b8160b82284f3c949aa5a
      8eca00bbb4a73bdad192b5c42f73f2fd 4e273644c8b36125a64addeb006c13a0`),
  },
  {
    from: 'A.1 #4',
    key: bytes(`00ff ${'00'.repeat(30)}`),
    nonce: NONCE_0,
    counter: 2,
    text: zeros(64),
    ciphertext: bytes(`
      72d54dfbf12ec44b362692df94137f32 8fea8da73990265ec1bbbea1ae9af0ca
      13b25aa26cb4a648cb9b9d1be65b2c09 24a66c54d545ec1b7374f4872e99f096`),
  },
  {
    from: 'A.2 #2',
    key: KEY_1,
    nonce: NONCE_2,
    counter: 1,
    text: utf8(
      'Any submission to the IETF intended by the Contributor for publication as all or part of an IETF Internet-Draft or RFC and any ' +
        'statement made within the context of an IETF activity is considered an "IETF Contribution". Such statements include oral ' +
        'statements in IETF sessions, as well as written and electronic communications made at any time or place, which are addressed to',
    ),
    ciphertext: bytes(`
      a3fbf07df3fa2fde4f376ca23e827370 41605d9f4f4f57bd8cff2c1d4b7955ec 2a97948bd3722915c8f3d337f7d37005
      0e9e96d647b7c39f56e031ca5eb6250d 4042e02785ececfa4b4bb5e8ead0440e 20b6e8db09d881a7c6132f420e527950
      42bdfa7773d8a9051447b3291ce1411c 680465552aa6c405b7764d5e87bea85a d00f8449ed8f72d0d662ab052691ca66
      424bc86d2df80ea41f43abf937d3259d c4b2d0dfb48a6c9139ddd7f76966e928 e635553ba76c5c879d7b35d49eb2e62b
      0871cdac638939e25e8a1e0ef9d5280f a8ca328b351c3c765989cbcf3daa8b6c cc3aaf9f3979c92b3720fc88dc95ed84
      a1be059c6499b9fda236e7e818b04b0b c39c1e876b193bfe5569753f88128cc0 8aaa9b63d1a16f80ef2554d7189c411f
      5869ca52c5b83fa36ff216b9c1d30062 bebcfd2dc5bce0911934fda79a86f6e6 98ced759c3ff9b6477338f3da4f9cd85
      14ea9982ccafb341b2384dd902f3d1ab 7ac61dd29c6f21ba5b862f3730e37cfd c4fd806c22f221`),
  },
  {
    from: 'A.2 #3',
    key: KEY_1C,
    nonce: NONCE_2,
    counter: 42,
    text: utf8(
      "'Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe:\nAll mimsy were the borogoves,\nAnd the mome raths outgrabe.",
    ),
    ciphertext: bytes(`
      62e6347f95ed87a45ffae7426f27a1df 5fb69110044c0d73118effa95b01e5cf 166d3df2d721caf9b21e5fb14c616871
      fd84c54f9d65b283196c7fe4f60553eb f39c6402c42234e32a356b3e764312a6 1a5532055716ead6962568f87d3f3f77
      04c6a8d1bcd1bf4d50d6154b6da731b1 87b58dfd728afa36757a797ac188d1`),
  },
]

/** A.4: the one-time key of Poly1305, which shows in the tag. A.3 sets that key freely, which an AEAD can't. */
export const oneTimeKeyVectors = [
  { from: 'A.4 #1', key: KEY_0, nonce: NONCE_0, oneTimeKey: bytes('76b8e0ada0f13d90405d6ae55386bd28 bdd219b8a08ded1aa836efcc8b770dc7') },
  { from: 'A.4 #2', key: KEY_1, nonce: NONCE_2, oneTimeKey: bytes('ecfa254f845f647473d3cb140da9e876 06cb33066c447b87bc2666dde3fbb739') },
  { from: 'A.4 #3', key: KEY_1C, nonce: NONCE_2, oneTimeKey: bytes('965e3bc6f9ec7ed9560808f4d229f94b 137ff275ca9b3fcbdd59deaad23310ae') },
]
