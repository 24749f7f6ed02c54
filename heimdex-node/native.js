// The native half, built for this machine.
module.exports = require('./heimdex.node')
