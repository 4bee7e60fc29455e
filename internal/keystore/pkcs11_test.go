//go:build pkcs11

package keystore

const withPKCS11 = true
