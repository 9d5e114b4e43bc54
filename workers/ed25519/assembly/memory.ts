// The fixed map of the module's linear memory, 63 pages of 64 KiB. Nothing is allocated, and what no table was made in is never touched.
//
// Constants that the compiler lays out stand below SCRATCH. A field element takes ELEMENT bytes (field.ts), a point that is added to takes
// three of them, and one that is kept in a batch as well: X, Y, Z.
//
//   SCRATCH (2,048)            what the functions of field.ts, scalar.ts and sha512.ts work on; each says where
//   KEY (64)                   x ‖ y of the point that a table is made of, set by the host
//   S (32)                     the second half of a signature, set by the host
//   BATCH (128 · 3 elements)   points of a batch, or multiples of a point while its table is made
//   PRODUCTS (129 elements)    products of their Z
//   NONCES (64 · 32)           the first half of each signature of a batch: what its point must encode to
//   RESULTS (64)               of each of the batch: 1 if it is right
//   TEXT (16 KiB + 256)        R ‖ A ‖ message, set by the host, and room for the padding of SHA-512
//   TABLES (9 tables)          that of the base point, then those of authors

export const ELEMENT: usize = 36
export const POINT: usize = 3 * ELEMENT

export const SCRATCH: usize = 0x1000
export const KEY: usize = 0x1800
export const S: usize = 0x1840
export const NONCES: usize = 0x1880
export const RESULTS: usize = 0x2080
export const BATCH: usize = 0x2100
export const PRODUCTS: usize = BATCH + 128 * POINT
export const TEXT: usize = 0x7000
export const TABLES: usize = 0x10000

/** One table: the multiples 1 to 128 of 256^w · P, for each w from 0 to 31. */
export const WINDOWS: i32 = 32
export const MULTIPLES: i32 = 128
export const TABLE: usize = <usize>WINDOWS * MULTIPLES * POINT
