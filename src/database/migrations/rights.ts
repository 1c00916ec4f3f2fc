/** What a role that does not own our tables lacks: rights, or policies of row level security. */
import type { Statements } from "../sql.ts"
import { createdNames } from "./state.ts"

type Lack = { name: string; may_use: boolean; is_hidden: boolean }

/** `refused`: what the role may not use. `hidden`: tables whose rows it sees none of, without an error. */
const findLacks = async (sql: Statements) => {
  const rows = await sql<Lack[]>`
    select
      relname::text as name,
      case
        when relkind = 'S' then has_sequence_privilege(oid, 'usage')
        when relname = 'schema_migrations' then has_table_privilege(oid, 'select')
        else has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
          and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')
      end as may_use,
      relkind <> 'S' and row_security_active(oid) and not (
        select coalesce(bool_and(polpermissive) and bool_or(
          polcmd in ('*', 'r') and pg_get_expr(polqual, polrelid) = 'true'
        ), false)
        from pg_policy
        where polrelid = pg_class.oid
          and exists (
            select
            from unnest(polroles) as named (role)
            where role = 0
              or pg_has_role(role, 'usage')
          )
      ) as is_hidden
    from json_array_elements_text(${createdNames("(?:table|sequence)")}::text::json) as ours (called)
    join pg_class on oid in (to_regclass(called), to_regclass('schema_migrations'))
    union
    select proname::text, has_function_privilege(oid, 'execute'), false
    from pg_proc
    where proname = any (array(
      select called::name
      from json_array_elements_text(${createdNames("function")}::text::json) as ours (called)
    ))
      and pg_function_is_visible(oid)
    order by name`
  const names = (found: Lack[]) => found.map(({ name }) => name)
  return {
    refused: names(rows.filter(({ may_use }) => !may_use)),
    hidden: names(rows.filter(({ is_hidden }) => is_hidden)),
  }
}

export const hiddenTables = async (sql: Statements) => (await findLacks(sql)).hidden

const README = "(see Rights in db/README.md)"

/** Undefined for the owner, and for a role that may do all that the service does. */
export const lackingRights = async (sql: Statements): Promise<string | undefined> => {
  const { refused, hidden } = await findLacks(sql)
  if (refused.length > 0) return `the role may not use ${refused.join(", ")} ${README}`
  if (hidden.length > 0)
    return `row level security hides ${hidden.join(", ")} from the role ${README}`
  return undefined
}
