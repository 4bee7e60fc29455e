package btp

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// CloudConnector is one that is connected to the subaccount.
type CloudConnector struct {
	// LocationID is "" for the one without.
	LocationID string
	// Version is the Cloud Connector's, "" if the service does not say.
	Version string
	// Since is when it connected, zero if the service does not say.
	Since   time.Time
	Systems []System
}

// System is a virtual host that a Cloud Connector exposes.
type System struct {
	// Protocol is as the Cloud Connector names it: HTTP, TCP, TCPS, RFC.
	Protocol string
	// Host is virtual host:port.
	Host        string
	Description string
	// Exposed is whether the Cloud Connector lets anybody through to it.
	Exposed bool
}

// Attached lists the Cloud Connectors that are connected to the subaccount of the binding, in the service's order.
// Errors are *Failure.
func Attached(ctx context.Context, i Info, o TokenOptions) ([]CloudConnector, error) {
	if i.InfoPath == "" {
		return nil, &Failure{Kind: Misconfigured, Setting: "scc_info_path",
			text: i.prefix() + "missing: scc_info_path below connectivity_service; instances of " +
				"plan api_access have it"}
	}
	address, err := serviceURL(i.ServiceURL, i.InfoPath, "connectivity_service.url", i.Origin)
	if err != nil {
		return nil, err
	}
	c, err := newCaller("connectivity service", i.Credentials, o)
	if err != nil {
		return nil, err
	}
	body, err := c.get(ctx, address, true)
	if err != nil {
		return nil, err
	}
	var found []struct {
		Attributes map[string]any `json:"attributes"`
		Location   string         `json:"location_id"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, &Failure{Kind: Misconfigured, err: err,
			text: fmt.Sprintf("connectivity service %s: expected a list of Cloud Connectors, found %v", address, err)}
	}
	var all []CloudConnector
	for _, f := range found {
		a := fields(f.Attributes)
		// assumption: the location's id is named so; SAP's sample has a Cloud Connector without one
		connector := CloudConnector{LocationID: a.text("location_id", "locationId"), Version: a.text("agent_version"),
			Systems: systems(a["exposed_systems"])}
		if connector.LocationID == "" {
			connector.LocationID = f.Location
		}
		if ms, err := strconv.ParseInt(a.text("connected_since"), 10, 64); err == nil {
			connector.Since = time.UnixMilli(ms)
		}
		all = append(all, connector)
	}
	return all, nil
}

// systems reads what is a list in a text; a list as such is taken too, and anything else is none.
func systems(v any) []System {
	text, ok := v.(string)
	if !ok {
		b, _ := json.Marshal(v)
		text = string(b)
	}
	var list []struct{ Protocol, Host, Description, Status string }
	if json.Unmarshal([]byte(text), &list) != nil {
		return nil
	}
	var all []System
	for _, s := range list {
		all = append(all, System{Protocol: s.Protocol, Host: s.Host, Description: s.Description,
			Exposed: s.Status == "exposed" || s.Status == ""})
	}
	return all
}
