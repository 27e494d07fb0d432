// dynalite throws when a client goes away in the middle of a request, as clients do whose caller has given up. That must
// not end the server.
process.on('uncaughtException', (err) => {
  if (err.code !== 'ECONNRESET') throw err
})
