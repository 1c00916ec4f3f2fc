/** For the transform of routes whose answers no cache may keep. */
export const noStore = ({
  set,
}: {
  set: { headers: Record<string, string | number | undefined> }
}) => {
  set.headers["cache-control"] = "no-store"
}
