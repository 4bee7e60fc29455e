//go:build !pkcs11

package keystore

// readPKCS11 says what it would take: tokens are reached through a C library, and Culvert is built without cgo.
func (s *Store) readPKCS11(path, _ string) error {
	return s.names.fault(FieldType, nil, "pkcs11 needs a Culvert that is built with it: CGO_ENABLED=1 go build -tags "+
		"pkcs11 ./cmd/culvert (and a C compiler); this one was built without, and cannot load %s", path)
}
