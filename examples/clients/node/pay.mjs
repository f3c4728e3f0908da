// Pays something, once: node pay.mjs INVOICE AMOUNT TO. What the bank has done stands in the file $PAYMENTS.

import { open } from "node:fs/promises";
import { Guardrail, NotStarted, Unavailable } from "./guardrail.mjs";

const [invoice, amount, to] = process.argv.slice(2);
if (process.argv.length !== 5 || !/^\d+$/.test(amount)) {
  console.error("node pay.mjs INVOICE AMOUNT TO");
  process.exit(2);
}
const { GUARDRAIL_URL: url = "http://127.0.0.1:8470", GUARDRAIL_TOKEN: token, PAYMENTS: payments = "payments.txt" } = process.env;
const guardrail = new Guardrail(url, token, { patience: Number(process.env.GUARDRAIL_PATIENCE ?? 600) });

const tool = {
  server: "bank",
  name: "pay",
  description: "Pay somebody.",
  schema: {
    type: "object",
    properties: { amount: { type: "integer" }, to: { type: "string" } },
    required: ["amount", "to"],
    additionalProperties: false,
  },
};

async function pay({ amount, to }) {
  const file = await open(payments, "a").catch((error) => {
    throw new NotStarted(error.message);
  });
  try {
    await file.write(`${amount} to ${to}\n`);
  } finally {
    await file.close();
  }
  return { paid: amount };
}

const call = { run: `invoice-${invoice}`, call: "pay", agent: "payer", principal: "user:anna", tool };
try {
  const standing = await guardrail.run({ ...call, arguments: { amount: Number(amount), to } }, pay);
  console.log(standing.state, standing.state === "returned" ? JSON.stringify(standing.result) : standing.text);
  process.exitCode = standing.state === "returned" ? 0 : 1;
} catch (error) {
  console.error(`${error.constructor.name}: ${error.message}`);
  process.exitCode = error instanceof Unavailable ? 4 : 2;
}
