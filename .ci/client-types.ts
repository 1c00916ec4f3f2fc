/** The client's types, made of the OpenAPI document: src/client/api.ts. */
import { plugin } from "bun"
import typescript5 from "typescript-5"

/** The generator is written against TypeScript 5: the compiler of this project has no API. */
plugin({
  name: "typescript 5 for the generator",
  setup: ({ module }) => {
    module("typescript", () => ({ loader: "object", exports: { default: typescript5 } }))
  },
})

export const generateTypes = async (document: string) => {
  const { default: generate, astToString } = await import("openapi-typescript")
  const types = astToString(await generate(document))
  return `/** Made of the OpenAPI document by \`bun run build:client\`: not to be edited. */\n${types}`
}
