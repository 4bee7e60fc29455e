package btp

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// ConnectedCloudConnectors lists the location ids of the Cloud Connectors connected to the binding's subaccount, in
// the service's order; "" is the default location. Errors are *Failure.
func ConnectedCloudConnectors(ctx context.Context, i ConnectivityAPI, o TokenOptions) (locations []string, err error) {
	if i.InfoPath == "" {
		return nil, &Failure{Kind: Misconfigured, Setting: "scc_info_path",
			text: i.prefix() + "missing: scc_info_path below connectivity_service; instances of " +
				"plan api_access have it"}
	}
	address, err := serviceURL(i.ServiceURL, i.InfoPath, "connectivity_service.url", i.Origin)
	if err != nil {
		return nil, err
	}
	c, err := newServiceClient("connectivity service", i.Credentials, o)
	if err != nil {
		return nil, err
	}
	body, err := c.get(ctx, address, true)
	if err != nil {
		return nil, err
	}
	var found []struct {
		Attributes fields `json:"attributes"`
		Location   string `json:"location_id"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, &Failure{Kind: Misconfigured, err: err,
			text: fmt.Sprintf("connectivity service %s: expected a list of Cloud Connectors, found %v", address, err)}
	}
	for _, f := range found {
		// assumption: the location's id is named so; SAP's sample has a Cloud Connector without one
		locations = append(locations, cmp.Or(f.Attributes.text("location_id", "locationId"), f.Location))
	}
	return locations, nil
}
