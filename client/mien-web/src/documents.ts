export type * from "../../src/documents";
