package btp

import (
	"context"
	"time"
)

// CloudConnector is one that is connected to the subaccount.
type CloudConnector struct {
	// LocationID is "" for the one without.
	LocationID string
	Version    string
	Since      time.Time
	Systems    []System
}

// System is a virtual host that a Cloud Connector exposes.
type System struct {
	// Protocol is as the Cloud Connector names it: HTTP, TCP, TCPS, RFC.
	Protocol string
	// Host is virtual host:port.
	Host        string
	Description string
}

// Attached lists the Cloud Connectors that are connected to the subaccount of the binding.
func Attached(ctx context.Context, i Info, o TokenOptions) ([]CloudConnector, error) { return nil, nil }
