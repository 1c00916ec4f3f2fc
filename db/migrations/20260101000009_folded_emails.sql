-- migrate:up transaction:false

-- The one rule by which emails are compared: as search_text of todos folds. users_email_key stays
-- as long as instances of the previous release look emails up by it. Where this is cut off, an
-- invalid index is left: `reindex index concurrently users_email_folded_key` completes it.
create unique index concurrently if not exists users_email_folded_key
  on users (upper(lower(email collate "und-x-icu")))
  where not shares_email;

-- migrate:down transaction:false

drop index concurrently users_email_folded_key;
