// client.js PROXY-HOST PROXY-PORT HOST PORT [LOCATION]: a tunnel by the library and in the way of the article, with the token of the
// environment's JWT; stdin goes through it, what comes back goes to stdout. Exit status 1 and the library's word for it where there is
// no tunnel.
const socks = require('@luminati-io/socksv5')

const [proxyHost, proxyPort, host, port, location = ''] = process.argv.slice(2)

function logon() {
  const token = Buffer.from(process.env.JWT, 'utf8')
  const encoded = Buffer.from(Buffer.from(location, 'utf8').toString('base64'), 'latin1')
  const head = Buffer.alloc(5)
  head[0] = 0x01
  head.writeInt32BE(token.length, 1)
  return Buffer.concat([head, token, Buffer.from([encoded.length]), encoded])
}

const client = socks.connect({
  host, port: Number(port), proxyHost, proxyPort: Number(proxyPort), localDNS: false,
  auths: [{
    METHOD: 0x80,
    client(stream, done) {
      let got = Buffer.alloc(0)
      stream.on('data', function heard(chunk) {
        got = Buffer.concat([got, chunk])
        if (got.length < 2) return
        stream.removeListener('data', heard)
        if (got.length > 2) stream.unshift(got.subarray(2))
        if (got[0] !== 0x01) return done(new Error(`logon of version ${got[0]}`))
        done(got[1] === 0x00)
      })
      stream.write(logon())
    },
  }],
}, (socket) => {
  socket.pipe(process.stdout)
  process.stdin.pipe(socket)
})
client.on('error', (error) => {
  process.stdout.write(error.code || error.message)
  process.exitCode = 1
  process.stdin.unref?.()
})
