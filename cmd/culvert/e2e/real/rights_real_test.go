//go:build real

package real

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/odatatest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// rightsLimit limits a worker that lacks a right: one that waits forever would report nothing.
const rightsLimit = 2 * time.Minute

// TestRealRights lets a worker log on to Apache Kafka as a user who lacks one right, by the brokers' own authorizer: it
// ends, and its message names the right and the resource. With all rights it works.
func TestRealRights(t *testing.T) {
	t.Parallel()
	p, _, address := e2etest.NewPlaceWithDemo(t, odatatest.Options{Rows: 5})
	dir := t.TempDir()
	port := e2etest.FreePort(t)
	securePort := e2etest.FreePort(t)
	more := filepath.Join(t.TempDir(), "broker.properties")
	settings := "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n" +
		"super.users=User:ANONYMOUS\nauto.create.topics.enable=false\n"
	require.NoError(t, os.WriteFile(more, []byte(settings), 0o600))
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t),
		"SASL_PORT=" + securePort, "BROKER_PROPS=" + more}, port, dir)
	r := &rights{t: t, p: p, servers: "127.0.0.1:" + port, securePort: securePort, dir: dir,
		admin: kadm.NewClient(e2etest.NewClient(t, "127.0.0.1:"+port))}
	r.createRights(kadm.NewACLs().Topics("*").Groups("*").TransactionalIDs("*").Clusters().Operations(kadm.OpAll).
		ResourcePatternType(kadm.ACLPatternLiteral).Allow(rightsUser).AllowHosts("*"))
	atLeast := r.worker("atleast")
	exactly := r.worker("exactly", "group.id=exact", "exactly.once.source.support=enabled")
	for _, result := range []e2etest.Result{r.run(atLeast, rightsSourceSettings("plain", address)...),
		r.run(exactly, rightsSourceSettings("exact", address)...), r.run(atLeast,
			rightsSinkSettings("back", address)...)} {
		require.Equal(t, 0, result.Code, "with all rights: exit", result.Stderr)
	}
	for _, c := range deniedRights(address, atLeast, exactly) {
		t.Run(c.name, func(t *testing.T) {
			r.deny(c.denied...)
			result := r.run(c.worker, c.connector...)
			assert.True(t, result.Code == 1 && strings.Contains(result.LastLine(), c.want),
				"expected exit 1 and %q, found %d\n%s", c.want, result.Code, result.Stderr)
			r.allow(c.denied...)
			r.awaitDenials(false)
		})
	}
	checkGroupWaitsForRights(r)
}

const rightsUser = "User:user"

// rights changes the rights of a user of Apache Kafka, and runs workers that log on as this user.
type rights struct {
	t       *testing.T
	p       *e2etest.Place
	servers string // the listener of a user with all rights
	dir     string // the broker's folder
	admin   *kadm.Client
	// securePort is the port where the user logs on.
	securePort string
}

func (r *rights) createRights(b *kadm.ACLBuilder) {
	r.t.Helper()
	_, err := r.admin.CreateACLs(r.t.Context(), b)
	require.NoError(r.t, err)
}

// awaitDenials waits until the broker denies rights, or denies none: brokers learn of rights from their controllers.
func (r *rights) awaitDenials(want bool) {
	r.t.Helper()
	(&e2etest.ExactPeer{T: r.t, Servers: r.servers}).AwaitAdmin("rights", func(ctx context.Context,
		admin *kadm.Client) (bool, error) {
		denials, err := admin.DescribeACLs(ctx, kadm.NewACLs().AnyResource().Deny().DenyHosts().Operations().
			ResourcePatternType(kadm.ACLPatternAny))
		n := 0
		for _, d := range denials {
			n += len(d.Described)
		}
		return n > 0 == want, err
	})
}

func (r *rights) deny(denied ...*kadm.ACLBuilder) {
	r.t.Helper()
	for _, d := range denied {
		r.createRights(d.ResourcePatternType(kadm.ACLPatternLiteral).Deny(rightsUser).DenyHosts("*"))
	}
	r.awaitDenials(true)
}

func (r *rights) allow(denied ...*kadm.ACLBuilder) {
	r.t.Helper()
	for _, d := range denied {
		_, err := r.admin.DeleteACLs(r.t.Context(), d)
		require.NoError(r.t, err)
	}
}

// worker writes the file of a worker that logs on as the user.
func (r *rights) worker(name string, lines ...string) string {
	return r.p.File(name+"-worker.properties", e2etest.WithSettings([]string{"bootstrap.servers=127.0.0.1:" +
		r.securePort, "listeners=", "security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", "offset.storage.partitions=1",
		`sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ` +
			`username="user" password="user-secret";`,
		"ssl.truststore.location=" + filepath.Join(r.dir, "tls", "trust.p12"), "ssl.truststore.password=changeit"},
		lines...)...)
}

// run runs a connector once with a new data folder.
func (r *rights) run(worker string, connector ...string) e2etest.Result {
	c := r.p.StartFor(rightsLimit, "run", "--once", "--plugins", e2etest.Plugins(r.t, "odata-sink"), "--data",
		e2etest.NewPlace(r.t).Data, worker, r.p.File("connector.properties", append(connector,
			e2etest.NoReadTimeout)...))
	return c.Wait()
}

func rightsSourceSettings(name, address string) []string {
	return e2etest.Source(name, address, "Orders")
}

func rightsSinkSettings(name, address string) []string {
	return append(e2etest.Sink(name, address, "Orders", "OrderCopies"), "sap.odata.operation.mode=upsert")
}

// deniedRight is a run without some rights, and the part of its last line that names them.
type deniedRight struct {
	name      string
	denied    []*kadm.ACLBuilder
	worker    string
	connector []string
	want      string
}

// deniedRights returns runs of connectors of a service at an address, by workers with and without exactly-once.
func deniedRights(address, atLeast, exactly string) []deniedRight {
	source := func(name string) []string { return rightsSourceSettings(name, address) }
	sink := func(name string) []string { return rightsSinkSettings(name, address) }
	topic := func(name string, operations ...kadm.ACLOperation) *kadm.ACLBuilder {
		return kadm.NewACLs().Topics(name).Operations(operations...)
	}
	return []deniedRight{
		{name: "transactional id",
			denied: []*kadm.ACLBuilder{kadm.NewACLs().TransactionalIDs("exact-exact-0").Operations(kadm.OpWrite)},
			worker: exactly, connector: source("exact"),
			want: "the rights DESCRIBE and WRITE on the resource TransactionalId"},
		{name: "idempotent write",
			denied: []*kadm.ACLBuilder{kadm.NewACLs().Clusters().Operations(kadm.OpIdempotentWrite),
				topic("*", kadm.OpWrite)}, worker: atLeast, connector: source("idempotent"),
			want: "the right IDEMPOTENT_WRITE on the resource Cluster"},
		{name: "create topic", denied: []*kadm.ACLBuilder{topic("new", kadm.OpCreate),
			kadm.NewACLs().Clusters().Operations(kadm.OpCreate)},
			worker: atLeast, connector: e2etest.WithSettings(source("creates"), "sap.odata#00.topic=new"),
			want: "the right CREATE on the resource Topic new"},
		{name: "see topic", denied: []*kadm.ACLBuilder{topic("Orders", kadm.OpDescribe, kadm.OpWrite, kadm.OpRead)},
			worker: atLeast, connector: source("sees"), want: "the right DESCRIBE on the resource Topic Orders"},
		{name: "write topic", denied: []*kadm.ACLBuilder{topic("Orders", kadm.OpWrite)}, worker: atLeast,
			connector: source("writes"), want: "the right WRITE on the resource Topic Orders"},
		{name: "read offsets", denied: []*kadm.ACLBuilder{topic("connect-offsets", kadm.OpRead)}, worker: atLeast,
			connector: source("begins"), want: "the right READ on the resource Topic connect-offsets"},
		{name: "write offsets", denied: []*kadm.ACLBuilder{topic("connect-offsets", kadm.OpWrite)}, worker: atLeast,
			connector: source("stores"), want: "the right WRITE on the resource Topic connect-offsets"},
		{name: "write offsets in transactions", denied: []*kadm.ACLBuilder{topic("connect-offsets", kadm.OpWrite)},
			worker: exactly, connector: source("ends"), want: "the right WRITE on the resource Topic connect-offsets"},
		{name: "group", denied: []*kadm.ACLBuilder{kadm.NewACLs().Groups("connect-back").Operations(kadm.OpRead)},
			worker: atLeast, connector: sink("back"),
			want: "the right READ on the resource Group connect-back"},
		{name: "read topic", denied: []*kadm.ACLBuilder{topic("Orders", kadm.OpRead)}, worker: atLeast,
			connector: sink("takes"), want: "the right READ on the resource Topic Orders"},
	}
}

// checkGroupWaitsForRights checks that a worker of a group waits for rights that it lacks, and reports that.
func checkGroupWaitsForRights(r *rights) {
	r.t.Helper()
	address := porttest.Address(r.t)
	lacking := map[string]*kadm.ACLBuilder{
		"the right READ on the resource Group g":        kadm.NewACLs().Groups("g").Operations(kadm.OpRead),
		"the right READ on the resource Topic g-states": kadm.NewACLs().Topics("g-states").Operations(kadm.OpRead),
	}
	r.deny(slices.Collect(maps.Values(lacking))...)
	w := r.p.StartWorkerNoWait(address, "--plugins", e2etest.Plugins(r.t), "--data", e2etest.NewPlace(r.t).Data,
		r.worker("group", "group.id=g", "config.storage.topic=g-configs", "status.storage.topic=g-states",
			"offset.storage.topic=g-offsets", "config.storage.replication.factor=1",
			"offset.storage.replication.factor=1", "status.storage.replication.factor=1", "session.timeout.ms=6000",
			"listeners=http://"+address))
	for len(lacking) > 0 {
		w.Eventually("a right that it lacks", func() bool {
			for want, denied := range lacking {
				if strings.Contains(w.Stderr.String(), want) {
					r.allow(denied)
					delete(lacking, want)
					return true
				}
			}
			return false
		})
	}
	w.AwaitChangeable()
	w.MustStop()
}
