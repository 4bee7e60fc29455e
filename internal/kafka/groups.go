package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group describes a group at its coordinator. The zero value means an unknown group.
type Group struct {
	// State is Kafka's name, such as Stable. Type (consumer, connect) and Protocol may be "".
	State    string
	Type     string
	Protocol string
	Members  []Member
}

// Member is a member of a group.
type Member struct {
	ClientID string
	Host     string
	URL      string // URL is the REST address of a Connect worker; "" for others, and during a rebalance.
	Metadata []byte
}

// Group describes a group. An unknown group has the state "" or Dead.
func (a *Admin) Group(ctx context.Context, group string) (result Group, err error) {
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{group}
	response, err := request.RequestWith(ctx, a.client)
	var description kmsg.DescribeGroupsResponseGroup
	switch {
	case err != nil: // handled below
	case len(response.Groups) != 1:
		err = fmt.Errorf("expected one group in the answer, found %d", len(response.Groups))
	default:
		description = response.Groups[0]
		err = kerr.ErrorForCode(description.ErrorCode)
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return result, nil
	}
	if err != nil {
		return result, fmt.Errorf("members of group %s: %w", group,
			WithMissingRight(a.dialer.Explain(err), "DESCRIBE", "Group "+group))
	}
	result = Group{State: description.State, Type: description.ProtocolType, Protocol: description.Protocol}
	for _, m := range description.Members {
		member := Member{ClientID: m.ClientID, Host: m.ClientHost, Metadata: m.ProtocolMetadata}
		var worker kmsg.ConnectMemberMetadata
		if result.Type == "connect" && worker.ReadFrom(m.ProtocolMetadata) == nil {
			member.URL = worker.URL
		}
		result.Members = append(result.Members, member)
	}
	return result, nil
}

// Members returns the members of a stable group as `CLIENT at HOST`, for messages; none during a rebalance.
func (a *Admin) Members(ctx context.Context, group string) (members []string, err error) {
	g, err := a.Group(ctx, group)
	if g.State == "Stable" {
		for _, m := range g.Members {
			members = append(members, m.ClientID+" at "+strings.TrimPrefix(m.Host, "/"))
		}
	}
	return members, err
}
