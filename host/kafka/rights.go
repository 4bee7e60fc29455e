package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/culvert-project/culvert/wit"
)

// Lacking is an error with the right that is missing, where it says that the brokers do not let the user do what was
// asked for; another error is returned as it is. The right is an operation of Kafka's ACLs, the resource its type and
// name, such as `Topic orders`.
func Lacking(err error, right, resource string) error {
	fault := (*wit.Fault)(nil)
	switch {
	case err == nil || errors.As(err, &fault):
		return err
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		right, resource = "IDEMPOTENT_WRITE", "Cluster, or WRITE on a resource Topic"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
	default:
		return err
	}
	return fmt.Errorf("%w (%w)", &wit.Fault{Kind: wit.FaultConfig,
		Message: "the brokers do not let this user do that: " +
			"expected the right " + right + " on the resource " + resource}, err)
}
