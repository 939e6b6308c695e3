package main

import "github.com/multiformats/go-multiaddr"

func addressText(addr multiaddr.Multiaddr) any {
	if addr == nil {
		return nil
	}
	return addr.String()
}

func addressTexts(addrs []multiaddr.Multiaddr) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return texts
}
