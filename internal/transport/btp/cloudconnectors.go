package btp

import (
	"cmp"
	"context"
	"fmt"

	"github.com/culvert-project/culvert/internal/secret"
)

// ConnectedCloudConnectors returns the location ids of the Cloud Connectors that are connected to the subaccount; ""
// is the default location. Errors are *Failure.
func ConnectedCloudConnectors(ctx context.Context, api ConnectivityAPI,
	options TokenOptions) (locations []string, err error) {
	if api.InfoPath == "" {
		return nil, &Failure{Kind: Misconfigured, Setting: "scc_info_path", text: api.prefix() +
			"missing: scc_info_path below connectivity_service; instances of plan api_access have it"}
	}
	address, err := serviceURL(api.ServiceURL, api.InfoPath, "connectivity_service.url", api.Origin)
	if err != nil {
		return nil, err
	}
	c, err := newServiceClient("connectivity service", api.Credentials, options)
	if err != nil {
		return nil, err
	}
	body, err := c.get(ctx, address, true)
	if err != nil {
		return nil, err
	}
	var connectors []struct {
		Attributes fields `json:"attributes"`
		Location   string `json:"location_id"`
	}
	if err := secret.UnmarshalJSON(body, &connectors); err != nil {
		return nil, &Failure{Kind: Misconfigured, err: err,
			text: fmt.Sprintf("connectivity service %s: expected a list of Cloud Connectors, found %v", address, err)}
	}
	for _, c := range connectors {
		// Assumption on the names: SAP's sample has a Cloud Connector without a location id.
		locations = append(locations, cmp.Or(c.Attributes.text("location_id", "locationId"), c.Location))
	}
	return locations, nil
}
