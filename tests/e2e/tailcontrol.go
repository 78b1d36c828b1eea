// A control server for the tests' own tailnet: every node is admitted, and the one relay is at
// HOST:PORT with STUN at STUNPORT.
//
//	tailcontrol LISTEN HOST PORT STUNPORT
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func main() {
	listen, host := os.Args[1], os.Args[2]
	node := &tailcfg.DERPNode{
		Name:             "900a",
		RegionID:         900,
		HostName:         host,
		IPv4:             host,
		IPv6:             "none",
		DERPPort:         number(os.Args[3]),
		STUNPort:         number(os.Args[4]),
		InsecureForTests: true,
	}
	region := &tailcfg.DERPRegion{
		RegionID:   900,
		RegionCode: "adit",
		RegionName: "Adit",
		Nodes:      []*tailcfg.DERPNode{node},
	}
	control := &testcontrol.Server{
		DERPMap: &tailcfg.DERPMap{
			Regions:            map[int]*tailcfg.DERPRegion{900: region},
			OmitDefaultRegions: true,
		},
		ExplicitBaseURL: "http://" + listen,
		AllOnline:       true,
	}
	log.Fatal(http.ListenAndServe(listen, control))
}
