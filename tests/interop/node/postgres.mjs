// Runs what a Node application runs (simple, parametrised, named, transactions, an error) and says what came back.
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.argv[2], max: 4 });
const told = { ok: 0, failed: 0, rows: 0 };

async function run(client, query, values) {
  try {
    const result = await client.query(query, values);
    told.ok += 1;
    told.rows += result.rowCount ?? 0;
  } catch {
    told.failed += 1;
  }
}

await run(pool, "create table films (id serial primary key, title text not null unique)");
await Promise.all(
  Array.from({ length: 20 }, (_, n) => run(pool, "insert into films (title) values ($1)", [`film ${n}`])),
);
await run(pool, "insert into films (title) values ($1)", ["film 1"]);
for (let n = 0; n < 5; n += 1) {
  await run(pool, { name: "by-title", text: "select * from films where title = $1" }, [`film ${n}`]);
}
const client = await pool.connect();
await run(client, "begin");
await run(client, "select * from films order by id");
await run(client, "update films set title = title || '!' where id < $1", [4]);
await run(client, "commit");
client.release();
await pool.end();
console.log(JSON.stringify(told));
