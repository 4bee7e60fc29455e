//go:build !pkcs11

package keystore

// readPKCS11 stands in for that of pkcs11.go, of the same signature, in builds without the tag: its error says which
// build has it. Tokens are reached through a C library, and Culvert is built without cgo.
func (s *Store) readPKCS11(path, _ string) error {
	return s.names.errorf(FieldType, nil, "pkcs11 needs a Culvert that is built with it: that of the archive "+
		"culvert_VERSION_linux_PROCESSOR_pkcs11.tar.gz of a release, of the image with --build-arg TAGS=pkcs11, or of "+
		"CGO_ENABLED=1 go build -tags pkcs11 ./cmd/culvert (with a C compiler); this one was built without, and "+
		"cannot load %s", path)
}
