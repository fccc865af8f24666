-- Who may come in. The secret of a key is nowhere: only its keyed SHA-256, and the key of that is in no database.
create table api_keys (
  key_id         text        primary key,
  name           text        not null,
  digest         bytea       not null check (octet_length(digest) = 32),
  role           text        not null check (role in ('viewer', 'trader', 'admin')),
  scopes         text[]      not null,
  created_time   timestamptz not null,
  created_by     text        not null,
  expires_time   timestamptz,
  revoked_time   timestamptz,
  last_used_time timestamptz
);

-- Who changed what. Rows are only ever added: no role but the owner could change or delete one.
create table audit_log (
  entry_id   uuid        primary key,
  time       timestamptz not null,
  who        text        not null,
  action     text        not null,
  target     text        not null,
  outcome    text        not null check (outcome in ('done', 'refused', 'failed')),
  address    text        not null,
  request_id text        not null,
  detail     jsonb       not null
);
create index on audit_log (time);
create index on audit_log (who, time);

-- Neither the writer nor the reader, whom Grafana connects as, sees either table.
grant usage on schema :"schema" to :"access";
grant select, update (last_used_time) on api_keys to :"access";
grant select, insert on audit_log to :"access";
