// The fixed map of the module's linear memory. Nothing is allocated, and what no table was made in is never touched.
//
// A pair is two field elements side by side, which one instruction after the other works on (field.ts); a lane is one of them by itself.
//
// Constants that the compiler lays out stand below SCRATCH.
//
//   SCRATCH (4,096)                     what the functions of field*.ts, point.ts, scalar.ts and sha512.ts work on; each says where
//   KEY (64)                            x ‖ y of the point that a table is made of, set by the host
//   S (32)                              the second half of a signature, set by the host
//   NONCES (64 · 32)                    the first half of each signature of a batch: what its point must encode to
//   RESULTS (64)                        of each of the batch: 1 if it is right
//   NEUTRAL (1 entry)                   adds nothing
//   BATCH (128 · 3 pairs)               points of a batch, two by two, or multiples of a point while its table is made: X, Y, Z
//   ├ SIGNATURES (64 · 8 lanes)         while a batch is gathered, behind its first 32: S·B and −h·A of each, X, Y, Z, T
//   PRODUCTS (129 pairs)                products of their Z
//   TEXT (16 KiB + 256)                 R ‖ A ‖ message, set by the host, and room for the padding of SHA-512
//   SCALARS (65 · 32)                   r of each signature that is being made
//   ANSWERS (65 · 32)                   and S
//   SECRET (32)                         a, set by the host
//   SELECTED (2 · 128)                  what is added next, of the base point's table
//   TABLES (9 tables)                   that of the base point, then those of authors

export const LANE: usize = ASC_FEATURE_RELAXED_SIMD ? 40 : 36
export const PAIR: usize = 2 * LANE
/** X, Y, Z of two points. */
export const POINT: usize = 3 * PAIR
/** What a table has of one point: three lanes, and with lanes of 40 bytes eight more, so that it never lies in three cache lines. */
export const ENTRY: usize = ASC_FEATURE_RELAXED_SIMD ? 128 : 108

export const SCRATCH: usize = 0x1000
export const KEY: usize = 0x2000
export const S: usize = 0x2040
export const NONCES: usize = 0x2080
export const RESULTS: usize = 0x2880
export const NEUTRAL: usize = 0x2900
export const BATCH: usize = 0x3000
export const SIGNATURES: usize = BATCH + 32 * POINT
export const PRODUCTS: usize = BATCH + 128 * POINT
export const TEXT: usize = 0x10000
export const SCALARS: usize = 0x15000
export const ANSWERS: usize = 0x16000
export const SECRET: usize = 0x17000
export const SELECTED: usize = 0x17080
export const TABLES: usize = 0x20000

/** One table: the multiples 1 to 128 of 256^w · P, for each w from 0 to 31. */
export const WINDOWS: i32 = 32
export const MULTIPLES: i32 = 128
export const TABLE: usize = <usize>WINDOWS * MULTIPLES * ENTRY
