package e2etest

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// WritePlainWorker writes the file of a worker without REST whose converters write no schemas.
func (p *Place) WritePlainWorker(servers string, settings ...string) (file string) {
	p.T.Helper()
	return p.File("worker.properties", PlainWorker(servers, settings...)...)
}

// PlainWorker returns the settings of a worker without REST whose converters write no schemas.
func PlainWorker(servers string, settings ...string) []string {
	return append([]string{"bootstrap.servers=" + servers, "listeners=", "key.converter.schemas.enable=false",
		"value.converter.schemas.enable=false"}, settings...)
}

// FindCanary returns the part of the canary c4n4ry.s3cret-x0x that a text contains, plain or encoded, or "".
func FindCanary(text string) string {
	const canary = "c4n4ry.s3cret"
	text = strings.ToLower(text)
	for _, form := range []string{canary, hex.EncodeToString([]byte(canary)), "C4N4RY", "s3cret-x0x",
		base64.RawStdEncoding.EncodeToString([]byte(canary))[:16]} {
		if strings.Contains(text, strings.ToLower(form)) {
			return form
		}
	}
	return ""
}

// CheckSecretAbsent fails the test if a secret is in the output, or in a file of the data folder, which has the guest's
// offsets.
func (p *Place) CheckSecretAbsent(secret, printed string) {
	p.T.Helper()
	for _, s := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
		if i := strings.Index(printed, s); i >= 0 {
			p.T.Errorf("a secret was printed: %s", printed[max(0, i-200):min(len(printed), i+100)])
		}
		filepath.WalkDir(p.Data, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			if content, err := os.ReadFile(path); err == nil && strings.Contains(string(content), s) {
				p.T.Errorf("expected no secret in %s, found %s", path, s)
			}
			return nil
		})
	}
}
