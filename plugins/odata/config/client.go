package config

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

const (
	optionClient   = "sap-client"
	optionLanguage = "sap-language"
)

// Query returns the SAP client and language for URLs if they are configured there. The host sets the headers in any
// case.
func Query(values setting.Values) uri.Query {
	if values.Lower(ClientIn) != "query" {
		return ""
	}
	var options []string
	for _, o := range []struct{ name, from string }{{optionClient, Client}, {optionLanguage, Language}} {
		if value := values.String(o.from); value != "" {
			options = append(options, o.name+"="+value)
		}
	}
	return uri.Query(strings.Join(options, "&"))
}
