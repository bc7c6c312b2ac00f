// GET of the first argument with fetch; prints the status and the body.
const answer = await fetch(process.argv[2]);
console.log(answer.status, await answer.text());
