/** WebAssembly, 7173 bytes, in base64. */
export declare const aeadModule: string
