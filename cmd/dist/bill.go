package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// The bill of materials is CycloneDX 1.5 in JSON. It has no serial number and no time, so that the same program has the
// same bill.
type cycloneDX struct {
	Format       string       `json:"bomFormat"`
	Version      string       `json:"specVersion"`
	Revision     int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref        string      `json:"bom-ref"`
	Type       string      `json:"type"`
	Name       string      `json:"name"`
	Version    string      `json:"version"`
	Hashes     []hash      `json:"hashes,omitempty"`
	Licenses   []licensing `json:"licenses,omitempty"`
	PackageURL string      `json:"purl"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licensing struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

const ourPath = "github.com/culvert-project/culvert"

// bill is the bill of materials of a program.
func bill(version string, t platform, parts []part) ([]byte, error) {
	own := component{Type: "application", Name: ourPath, Version: version, Licenses: licensed("Apache-2.0"),
		PackageURL: packageURL(ourPath, version) + "?goarch=" + t.processor + "&goos=" + t.system}
	own.Ref = own.PackageURL
	b := cycloneDX{Format: "CycloneDX", Version: "1.5", Revision: 1, Metadata: metadata{own},
		Dependencies: []dependency{{Ref: own.Ref}}}
	for _, p := range parts {
		c := component{Type: "library", Name: p.path, Version: p.version, PackageURL: packageURL(p.path, p.version),
			Licenses: licensed(p.licences()...)}
		c.Ref = c.PackageURL
		if p.sum != "" {
			sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.sum, "h1:"))
			if err != nil {
				return nil, fmt.Errorf("go.sum, %s: %w", p.path, err)
			}
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum)}}
		}
		b.Components = append(b.Components, c)
		b.Dependencies[0].On = append(b.Dependencies[0].On, c.Ref)
		b.Dependencies = append(b.Dependencies, dependency{Ref: c.Ref})
	}
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

func licensed(ids ...string) (list []licensing) {
	for _, id := range ids {
		var l licensing
		l.License.ID = id
		list = append(list, l)
	}
	return list
}

// packageURL is a module's name by purl.
func packageURL(path, version string) string {
	return "pkg:golang/" + strings.ToLower(path) + "@" + url.PathEscape(version)
}
