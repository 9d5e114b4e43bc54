/**
 * Signed envelopes in hex, as other implementations made them. All but the first are signed with the Ed25519 key of
 * libp2p/specs peer-ids/peer-ids.md, see key-vectors.ts.
 */

/** libp2p/js-libp2p packages/peer-record/test/peer-record.spec.ts "de/serializes the same as a go record", made by go. */
export const goRecord = {
  privateKey: [
    '0801124085fbe72b6064289004a531f967898df5319ee02992fdd84021fa5052434bf6ee11bba3ed1721948cefb4e50b0a0bb5cad8a6b52dc7b1a40f',
    '4f6652105c91e2c4',
  ].join(''),
  peerId: '12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh',
  seq: 1598453001624231000n,
  addresses: Array.from({ length: 10 }, (_, port) => `/ip4/1.2.3.4/tcp/${port}`),
  envelope: [
    '0a240801122011bba3ed1721948cefb4e50b0a0bb5cad8a6b52dc7b1a40f4f6652105c91e2c4120203011aaa010a2600240801122011bba3ed172194',
    '8cefb4e50b0a0bb5cad8a6b52dc7b1a40f4f6652105c91e2c410d8b8e0bf9391b697161a0a0a0804010203040600001a0a0a0804010203040600011a',
    '0a0a0804010203040600021a0a0a0804010203040600031a0a0a0804010203040600041a0a0a0804010203040600051a0a0a0804010203040600061a',
    '0a0a0804010203040600071a0a0a0804010203040600081a0a0a0804010203040600092a40b197f76b9f288af2b467fe666f774476287049b424b739',
    '75c8860efb02372d026a799584541ad72f2654346485bca3ece36462b7d1b1391c8d276dc4ab8bca0b',
  ].join(''),
}

/** go-libp2p 0.51 `record.Seal`. */
export const goRecordOfVector = {
  seq: 1732176000000000000n,
  addresses: ['/ip4/192.0.2.42/tcp/443/wss', '/dns4/example.com/udp/4001/quic-v1'],
  envelope: [
    '0a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e120203011a570a260024080112201ed1e8fae2c4a144',
    'b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e108080d483d09cfb84181a0c0a0a04c000022a0601bbde031a150a13360b6578616d706c',
    '652e636f6d91020fa1cd032a40d3ffd3ed1dd1741365b25bcb51a9be6c3f9d39e0c21e03e0ebb9cecdef159f82c67624edeb585f738ac36c1456e140',
    '76a0aaf0a1a5434a73efb2236feac40200',
  ].join(''),
}

/** @libp2p/peer-record 9.0.16 `RecordEnvelope.seal`. */
export const jsRecordOfVector = {
  seq: 1732176000000n,
  addresses: ['/ip4/192.0.2.42/tcp/443/wss', '/dns4/example.com/udp/4001/quic-v1'],
  envelope: [
    '0a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e120203011a540a260024080112201ed1e8fae2c4a144',
    'b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1080e8f0edb4321a0c0a0a04c000022a0601bbde031a150a13360b6578616d706c652e63',
    '6f6d91020fa1cd032a403d0d33b23cf60e4b805bba3dd071d3e05af2cbdfbe9417a6c88f1fc4ae0ec9976e20e88287aba53aeb6290c8a6c24f0068c9',
    '11d56413f47c20631a7155e8d407',
  ].join(''),
}

/** @libp2p/circuit-relay-v2 4.2.13 `ReservationVoucherRecord`, sealed as above: the relay is the signer, the peer the secp256k1 vector. */
export const jsVoucher = {
  relay: '12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq',
  peer: '16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY',
  expiration: 1732179600n,
  envelope: [
    '0a24080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e120203021a570a260024080112201ed1e8fae2c4a144',
    'b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1227002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0',
    'e630bfca991890edfbb9062a402f43175c179814ec60f6ca321312ae3f52db2c5355c8f65ec3a838f1ba03800264db195a1dbfaf88a519338caf22b8',
    '3066ae62e25a21961a45b726df2ae01801',
  ].join(''),
}
