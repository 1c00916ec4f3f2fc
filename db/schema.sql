-- What db/migrations add up to: written by "bun run schema", never by hand.

CREATE FUNCTION public.is_idempotency_key(key text, body_hash bytea) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
begin
  return char_length(key) between 1 and 255
    -- Visible ASCII. Without a count: one of up to 255 alone took a twentieth of a create's time.
    and key !~ '[^!-~]'
    -- SHA-256.
    and octet_length(body_hash) = 32;
end
$$;

CREATE FUNCTION public.is_todo(id bigint, title text, description text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
begin
  return id between 1 and 9007199254740991
    and char_length(title) <= 254
    -- Every code point that Unicode or ECMAScript calls white space, named one by one because
    -- \s depends on the locale of the database. Read alike with standard_conforming_strings off.
    and btrim(title, E'\u0009\u000A\u000B\u000C\u000D\u0020\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF') <> ''
    and coalesce(char_length(description), 0) <= 999;
end
$$;

CREATE TABLE public.deleted_todos (
    owner_id bigint NOT NULL,
    id bigint NOT NULL,
    revision bigint NOT NULL,
    deleted_at timestamp with time zone DEFAULT now() NOT NULL,
    title text,
    description text,
    is_completed boolean,
    created_at timestamp with time zone,
    updated_at timestamp with time zone
);

CREATE TABLE public.epochs (
    id boolean DEFAULT true NOT NULL,
    epoch uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT epochs_one_row CHECK (id)
);

CREATE TABLE public.idempotency_keys (
    owner_id bigint NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    body_hash bytea NOT NULL,
    todo_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_is_idempotency_key CHECK (public.is_idempotency_key(key, body_hash))
);

CREATE TABLE public.identities (
    issuer text NOT NULL,
    subject text NOT NULL,
    user_id bigint NOT NULL,
    CONSTRAINT identities_subject_length CHECK (((char_length(subject) >= 1) AND (char_length(subject) <= 255)))
);

CREATE TABLE public.invites (
    hash bytea NOT NULL,
    email text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT invites_email_length CHECK (((char_length(email) >= 3) AND (char_length(email) <= 254))),
    CONSTRAINT invites_hash_sha256 CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.known_addresses (
    user_id bigint NOT NULL,
    address_hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT known_addresses_hash_sha256 CHECK ((octet_length(address_hash) = 32))
);

CREATE TABLE public.mails (
    id uuid NOT NULL,
    kind text NOT NULL,
    recipient text NOT NULL,
    attempts bigint DEFAULT 0 NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT mails_kind CHECK ((kind = ANY (ARRAY['password_reset'::text, 'email_changed'::text]))),
    CONSTRAINT mails_recipient_length CHECK (((char_length(recipient) >= 3) AND (char_length(recipient) <= 254)))
);

CREATE TABLE public.password_resets (
    user_id bigint NOT NULL,
    hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT password_resets_hash_sha256 CHECK ((octet_length(hash) = 32))
);

CREATE TABLE public.personal_tokens (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id bigint NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT personal_tokens_hash_sha256 CHECK ((octet_length(hash) = 32)),
    CONSTRAINT personal_tokens_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100))),
    CONSTRAINT personal_tokens_scopes_known CHECK (((scopes <@ ARRAY['todos:read'::text, 'todos:write'::text]) AND ((cardinality(scopes) >= 1) AND (cardinality(scopes) <= 2))))
);

CREATE TABLE public.rate_limits (
    key text NOT NULL,
    attempts bigint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT rate_limits_attempts_not_negative CHECK ((attempts >= 0))
);

CREATE TABLE public.revisions (
    owner_id bigint NOT NULL,
    revision bigint NOT NULL,
    tombstones_forgotten_up_to bigint DEFAULT 0 NOT NULL,
    todos bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.revocations (
    key text NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT revocations_key_kind CHECK ((key ~ '^(user|session|token):.'::text))
);

CREATE TABLE public.sessions (
    id uuid NOT NULL,
    user_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    generation bigint DEFAULT 1 NOT NULL,
    rotated_at timestamp with time zone DEFAULT now() NOT NULL,
    user_agent text,
    address text,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sessions_address_length CHECK ((char_length(address) <= 64)),
    CONSTRAINT sessions_user_agent_length CHECK ((char_length(user_agent) <= 256))
);

CREATE SEQUENCE public.todo_ids
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 9007199254740991
    CACHE 1;

CREATE TABLE public.todos (
    owner_id bigint NOT NULL,
    id bigint DEFAULT nextval('public.todo_ids'::regclass) NOT NULL,
    title text NOT NULL,
    description text,
    is_completed boolean DEFAULT false NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    search_text text GENERATED ALWAYS AS (((upper(lower((title COLLATE "und-x-icu"))) || 'x'::text) || upper(lower((COALESCE(description, ''::text) COLLATE "und-x-icu"))))) STORED NOT NULL,
    revision bigint NOT NULL,
    CONSTRAINT todos_is_todo CHECK (public.is_todo(id, title, description))
)
WITH (autovacuum_vacuum_scale_factor='0.05');

CREATE SEQUENCE public.user_ids
    START WITH 4503599627370496
    INCREMENT BY 1
    MINVALUE 4503599627370496
    MAXVALUE 9007199254740991
    CACHE 1;

CREATE TABLE public.users (
    id bigint DEFAULT nextval('public.user_ids'::regclass) NOT NULL,
    email text,
    password_hash text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    tokens_valid_from timestamp with time zone,
    disabled_at timestamp with time zone,
    CONSTRAINT users_email_length CHECK (((char_length(email) >= 3) AND (char_length(email) <= 254))),
    CONSTRAINT users_email_with_password CHECK (((email IS NULL) = (password_hash IS NULL))),
    CONSTRAINT users_id_range CHECK (((id >= 1) AND (id <= '9007199254740991'::bigint))),
    CONSTRAINT users_password_hash_argon2id CHECK ((password_hash ~~ '$argon2id$%'::text))
);

ALTER TABLE ONLY public.deleted_todos
    ADD CONSTRAINT deleted_todos_pkey PRIMARY KEY (owner_id, revision, id);

ALTER TABLE ONLY public.epochs
    ADD CONSTRAINT epochs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (owner_id, key);

ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_pkey PRIMARY KEY (issuer, subject);

ALTER TABLE ONLY public.identities
    ADD CONSTRAINT identities_user_id_key UNIQUE (user_id);

ALTER TABLE ONLY public.invites
    ADD CONSTRAINT invites_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY public.known_addresses
    ADD CONSTRAINT known_addresses_pkey PRIMARY KEY (user_id, address_hash);

ALTER TABLE ONLY public.mails
    ADD CONSTRAINT mails_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.password_resets
    ADD CONSTRAINT password_resets_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.personal_tokens
    ADD CONSTRAINT personal_tokens_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.personal_tokens
    ADD CONSTRAINT personal_tokens_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.rate_limits
    ADD CONSTRAINT rate_limits_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_pkey PRIMARY KEY (owner_id);

ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT revocations_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.todos
    ADD CONSTRAINT todos_pkey PRIMARY KEY (owner_id, id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX deleted_todos_with_content ON public.deleted_todos USING btree (owner_id, deleted_at, id) WHERE (created_at IS NOT NULL);

CREATE INDEX deleted_todos_with_content_by_deleted_at ON public.deleted_todos USING btree (deleted_at) WHERE (created_at IS NOT NULL);

CREATE INDEX deleted_todos_with_content_by_id ON public.deleted_todos USING btree (owner_id, id) WHERE (created_at IS NOT NULL);

CREATE INDEX deleted_todos_without_content_by_deleted_at ON public.deleted_todos USING btree (deleted_at) WHERE (created_at IS NULL);

CREATE INDEX idempotency_keys_by_created_at ON public.idempotency_keys USING btree (created_at);

CREATE INDEX invites_by_expires_at ON public.invites USING btree (expires_at);

CREATE INDEX known_addresses_by_address_hash ON public.known_addresses USING btree (address_hash);

CREATE INDEX known_addresses_by_expires_at ON public.known_addresses USING btree (expires_at);

CREATE INDEX mails_by_due_at ON public.mails USING btree (due_at);

CREATE INDEX mails_by_expires_at ON public.mails USING btree (expires_at);

CREATE INDEX password_resets_by_expires_at ON public.password_resets USING btree (expires_at);

CREATE INDEX password_resets_by_hash ON public.password_resets USING btree (hash);

CREATE INDEX personal_tokens_by_expires_at ON public.personal_tokens USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX personal_tokens_by_user_id ON public.personal_tokens USING btree (user_id);

CREATE INDEX rate_limits_by_expires_at ON public.rate_limits USING btree (expires_at);

CREATE INDEX revocations_by_expires_at ON public.revocations USING btree (expires_at);

CREATE INDEX revocations_by_transaction_id ON public.revocations USING btree (transaction_id);

CREATE INDEX sessions_by_expires_at ON public.sessions USING btree (expires_at);

CREATE INDEX sessions_by_user_id ON public.sessions USING btree (user_id);

CREATE INDEX todos_by_created_at ON public.todos USING btree (owner_id, is_completed, created_at, id);

CREATE INDEX todos_by_revision ON public.todos USING btree (owner_id, revision, id);

CREATE INDEX todos_by_title ON public.todos USING btree (owner_id, is_completed, title COLLATE "C", id);

CREATE INDEX todos_by_updated_at ON public.todos USING btree (owner_id, is_completed, updated_at, id);

CREATE UNIQUE INDEX users_email_folded_key ON public.users USING btree (upper(lower((email COLLATE "und-x-icu"))));

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.known_addresses
    ADD CONSTRAINT known_addresses_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.password_resets
    ADD CONSTRAINT password_resets_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.personal_tokens
    ADD CONSTRAINT personal_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.revisions
    ADD CONSTRAINT revisions_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.users(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.todos
    ADD CONSTRAINT todos_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE public.deleted_todos ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.epochs ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.identities ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.invites ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.known_addresses ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.mails ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.password_resets ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.personal_tokens ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.rate_limits ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.revisions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.revocations ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.todos ENABLE ROW LEVEL SECURITY;

ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;

