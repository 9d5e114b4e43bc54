// The fixed map of the module's linear memory. Nothing is allocated: two pages (128 KiB) hold everything.
//
//   KEY (32) ‖ NONCE (12)      set by the host before each call
//   TAG (16)                   the tag computed last
//   ZEROS (256)                what KEYSTREAM is "encrypted" from; never written
//   KEYSTREAM (256)            blocks 0 to 3 of the key stream: the one-time key, then the first 192 bytes of stream
//   ACCUMULATOR (40) ‖ R (32)  Poly1305 between its scalar and its four-lane part
//   POWERS (288)               powers of r for the four lanes
//   AD (1,024 + 16)            associated data, zero-padded here to a multiple of 16
//   TEXT (65,535 + 272)        the text, worked on in place; behind it the tag, padding and lengths, and the end of
//                              the last four-block stride

export const KEY: usize = 0x400
export const NONCE: usize = 0x420
export const TAG: usize = 0x440
export const ZEROS: usize = 0x500
export const KEYSTREAM: usize = 0x600
export const ACCUMULATOR: usize = 0x700
export const R: usize = 0x728
export const POWERS: usize = 0x780
export const AD: usize = 0xc00
export const TEXT: usize = 0x1400
