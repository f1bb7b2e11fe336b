package pricing

import (
	"time"

	"github.com/clonecloud/clonecloud/internal/cost"
	"github.com/clonecloud/clonecloud/internal/energy"
	"github.com/clonecloud/clonecloud/internal/partition"
)

// Network prices by the models of package cost.
type Network struct {
	Link  cost.Link // the way to every clone; not Known: there is none
	Power *energy.Profile
}

var _ partition.Pricer = Network{}

// radios are the kinds that the classes of networks stand for.
var radios = map[partition.NetworkClass]energy.Radio{
	partition.WiFi: energy.WiFi, partition.WiFi2011: energy.WiFi,
	partition.LTE: energy.LTE, partition.FiveG: energy.NR, partition.ThreeG: energy.ThreeG,
}

// Class prices by the network that a class stands for. A nil power is
// energy.Default.
func Class(c partition.NetworkClass, power *energy.Profile) Network {
	if power == nil {
		power = energy.Default()
	}
	n := Network{Power: power}
	if at, ok := c.Centre(); ok {
		n.Link = cost.Link{RTT: at.RTT, Up: at.Up / 8, Down: at.Down / 8, Kind: radios[c], Known: true, Samples: 1}
	}
	return n
}

// Here implements partition.Pricer.
func (n Network) Here(seconds float64) partition.Cost {
	return partition.Cost{Seconds: seconds, Joules: seconds * n.Power.CPU.ActiveWatts()}
}

// Away implements partition.Pricer: the device waits.
func (n Network) Away(seconds float64) partition.Cost {
	return partition.Cost{Seconds: seconds, Joules: seconds * n.Power.CPU.WaitWatts}
}

// Migration implements partition.Pricer. The radio's tail, and what it draws in
// between, belong to the migration.
func (n Network) Migration(_ int, o partition.Offload) (partition.Cost, bool) {
	if !n.Link.Known {
		return partition.Cost{}, false
	}
	const century = 3e9 // seconds, which a time.Duration holds
	seconds, joules := cost.Predict(cost.Offload{
		Compute: time.Duration(min(o.Seconds, century) * 1e9), BytesUp: whole(o.Up), BytesDown: whole(o.Down),
		RoundTrips: 1 + int(whole(min(o.Trips, 1e9))),
	}, n.Link, n.Power)
	away := n.Away(min(o.Seconds, century))
	return partition.Cost{
		Seconds: max(seconds-away.Seconds, 0), Joules: max(joules-away.Joules, 0), Bytes: max(o.Up, 0) + max(o.Down, 0),
	}, seconds < century
}

// whole rounds a count that a message can hold.
func whole(f float64) int64 { return int64(min(max(f, 0), 1<<50) + 0.5) }
