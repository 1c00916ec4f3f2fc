/** A transform for routes whose answers must not be cached. */
export const noStore = ({
  set,
}: {
  set: { headers: Record<string, string | number | undefined> }
}) => {
  set.headers["cache-control"] = "no-store"
}
