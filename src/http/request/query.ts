/** Moved: to be imported from validation.ts. */
export { noQuery, strictQuery } from "../validation.ts"
