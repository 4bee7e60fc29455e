//go:build !pkcs11

package keystore

// readPKCS11 replaces pkcs11.go's in builds without the tag: tokens require a C library, thus cgo.
func (s *Store) readPKCS11(path, _ string) error {
	return s.names.errorf(FieldType, nil, "pkcs11 requires a build of Culvert with PKCS#11: use the archive "+
		"culvert_VERSION_linux_PROCESSOR_pkcs11.tar.gz of a release, an image with --build-arg TAGS=pkcs11, or "+
		"CGO_ENABLED=1 go build -tags pkcs11 ./cmd/culvert (with a C compiler); this build cannot load %s", path)
}
