package config

import (
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
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

// examineClient rejects a client inside a path. The client of a BTP destination is known to the host only, which does
// not change queries.
func examineClient(values setting.Values, examined []wit.ConfigValue) {
	if values.Lower(ClientIn) == "query" && values.String(Destination) != "" && values.String(Client) == "" {
		setting.AddError(examined, ClientIn, setting.Invalid(ClientIn, "query",
			"expected "+Client+" with it, since the client of "+Destination+" is sent as a header only"))
	}
	for _, g := range Groups(values) {
		for _, name := range []string{g.Name("service"), g.Name("entityset")} {
			_, query, _ := strings.Cut(values.String(name), "?")
			if other, ok := uri.Option(query, optionClient); ok {
				setting.AddError(examined, name, setting.Invalid(name, values.String(name),
					"it names the SAP client "+other+"; expected a name without a query, and the client in "+Client))
			}
		}
	}
}
