package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/wit"
)

// WithMissingRight adds the missing right to an authorization error; other errors are returned unchanged. right is an
// ACL operation, resource a type and name, such as `Topic orders`.
func WithMissingRight(err error, right, resource string) error {
	explained := (*wit.Error)(nil)
	switch {
	case err == nil || errors.As(err, &explained):
		return err
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		right = "IDEMPOTENT_WRITE"
		resource = "Cluster, or WRITE on a resource Topic"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		// right and resource are what is missing
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", &wit.Error{Kind: wit.ErrorConfig,
		Message: "the brokers deny this user the request: expected the right " + right + " on the resource " +
			resource}, err)
}

// CheckRights calls found for each topic, with an error if the producing or consuming client lacks a right or DESCRIBE.
// note lists its rights, or says that they are unknown.
func CheckRights(ctx context.Context, c Config, right kmsg.ACLOperation, topics []string,
	found func(topic, note string, err error)) error {
	c.Admin = c.Producer.withDefaults(c.ClientConfig)
	if right == kmsg.ACLOperationRead {
		c.Admin = c.Consumer.withDefaults(c.ClientConfig)
	}
	admin, err := NewAdmin(c)
	if err != nil {
		return err
	}
	defer admin.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.IncludeTopicAuthorizedOperations = true // ignored by brokers before 2.3 (KIP-430)
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		request.Topics = append(request.Topics, t)
	}
	answer, err := request.RequestWith(ctx, admin.client)
	if err != nil {
		return admin.dialer.Explain(err)
	}
	for _, t := range answer.Topics {
		if t.Topic == nil {
			continue
		}
		err := kerr.ErrorForCode(t.ErrorCode)
		name := *t.Topic
		granted := kadm.DecodeACLOperations(t.AuthorizedOperations)
		switch {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			found(name, "the topic does not exist: the brokers or the worker create it, or you must", nil)
		case err != nil:
			found(name, "", WithMissingRight(err, "DESCRIBE", "Topic "+name))
		case len(granted) == 0:
			found(name, "the brokers do not report the user's rights", nil)
		case !slices.Contains(granted, right):
			found(name, "", WithMissingRight(kerr.TopicAuthorizationFailed, right.String(), "Topic "+name))
		default:
			found(name, "DESCRIBE, "+right.String(), nil)
		}
	}
	return nil
}
