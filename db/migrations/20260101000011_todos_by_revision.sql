-- migrate:up transaction:false

-- What has changed since a revision. Todos that have none yet are found by their primary key, so
-- that the index begins empty. Where building it was interrupted it is there, but not valid, and
-- changes are slow to find: "reindex index concurrently todos_by_revision" mends that.
create index concurrently if not exists todos_by_revision
  on todos (owner_id, revision, id) where revision > 0;

-- migrate:down transaction:false

drop index concurrently todos_by_revision;
