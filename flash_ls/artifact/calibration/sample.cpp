// Delivery route planner: reads a road network and finds the quickest
// path from a depot to each order.

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>
#include <queue>
#include <regex>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace routing {

using NodeId = std::uint32_t;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr NodeId kInvalidNode = 0xFFFFFFFFu;

struct Edge {
    NodeId target;
    double length_km;
    int speed_limit = 50;

    double minutes() const { return length_km / speed_limit * 60.0; }
};

struct Order {
    std::string id;
    NodeId destination = kInvalidNode;
    double weight_kg = 0.0;
    bool express = false;
};

class ParseError : public std::runtime_error {
public:
    ParseError(std::size_t line, const std::string& what)
        : std::runtime_error("line " + std::to_string(line) + ": " + what) {}
};

/// Directed graph whose nodes are interned street names.
class RoadGraph {
public:
    NodeId intern(const std::string& name) {
        auto [it, inserted] = ids_.try_emplace(name, static_cast<NodeId>(adjacency_.size()));
        if (inserted)
            adjacency_.emplace_back();
        return it->second;
    }

    void connect(NodeId from, Edge edge) { adjacency_.at(from).push_back(edge); }

    std::optional<NodeId> find(const std::string& name) const {
        if (auto it = ids_.find(name); it != ids_.end())
            return it->second;
        return std::nullopt;
    }

    const std::vector<Edge>& edges(NodeId node) const { return adjacency_.at(node); }
    std::size_t size() const { return adjacency_.size(); }

private:
    std::unordered_map<std::string, NodeId> ids_;
    std::vector<std::vector<Edge>> adjacency_;
};

RoadGraph loadGraph(std::istream& in) {
    static const std::regex row(R"((\w+)\s*(->|<->)\s*(\w+)\s+(\d+(?:\.\d+)?)(?:\s+@(\d+))?)");
    RoadGraph graph;
    std::string text;
    for (std::size_t line = 1; std::getline(in, text); ++line) {
        if (text.empty() || text.front() == '#')
            continue;
        std::smatch m;
        if (!std::regex_match(text, m, row))
            throw ParseError(line, "expected 'A -> B length', got '" + text + "'");
        const NodeId a = graph.intern(m[1]);
        const NodeId b = graph.intern(m[3]);
        Edge edge{b, std::stod(m[4])};
        if (m[5].matched)
            edge.speed_limit = std::stoi(m[5]);
        graph.connect(a, edge);
        if (m[2] == "<->") {
            edge.target = a;
            graph.connect(b, edge);
        }
    }
    return graph;
}

struct ShortestPaths {
    std::vector<double> cost;
    std::vector<NodeId> previous;

    std::vector<NodeId> pathTo(NodeId node) const {
        std::vector<NodeId> path;
        if (cost.at(node) == kInfinity)
            return path;
        for (; node != kInvalidNode; node = previous[node])
            path.push_back(node);
        std::reverse(path.begin(), path.end());
        return path;
    }
};

template <typename CostFn>
ShortestPaths dijkstra(const RoadGraph& graph, NodeId start, CostFn&& costOf) {
    using Item = std::pair<double, NodeId>;
    std::priority_queue<Item, std::vector<Item>, std::greater<>> frontier;
    ShortestPaths result{std::vector<double>(graph.size(), kInfinity),
                         std::vector<NodeId>(graph.size(), kInvalidNode)};
    result.cost[start] = 0.0;
    frontier.emplace(0.0, start);
    while (!frontier.empty()) {
        const auto [cost, node] = frontier.top();
        frontier.pop();
        if (cost > result.cost[node])
            continue;  // stale
        for (const Edge& edge : graph.edges(node)) {
            const double candidate = cost + costOf(edge);
            if (candidate < result.cost[edge.target]) {
                result.cost[edge.target] = candidate;
                result.previous[edge.target] = node;
                frontier.emplace(candidate, edge.target);
            }
        }
    }
    return result;
}

}  // namespace routing

int main(int argc, char** argv) {
    using namespace routing;
    if (argc < 3) {
        std::cerr << "usage: " << argv[0] << " <roads.txt> <depot>\n";
        return 2;
    }
    try {
        std::ifstream file(argv[1]);
        if (!file)
            throw std::runtime_error("cannot open road file");
        const auto graph = std::make_unique<RoadGraph>(loadGraph(file));
        const auto depot = graph->find(argv[2]);
        if (!depot)
            throw std::invalid_argument("unknown depot");

        const auto paths = dijkstra(*graph, *depot, [](const Edge& e) { return e.minutes(); });

        std::vector<Order> orders = {
            {"ORD-1001", 1, 2.5, true},
            {"ORD-1002", 2, 14.0, false},
        };
        std::partition(orders.begin(), orders.end(), [](const Order& o) { return o.express; });
        for (const auto& [id, destination, weight, express] : orders) {
            if (destination >= graph->size())
                continue;
            std::cout << std::left << std::setw(10) << id << (express ? '*' : ' ') << std::fixed
                      << std::setprecision(1) << paths.cost[destination] << " min, " << weight << " kg\n";
        }
    } catch (const std::exception& e) {
        std::cerr << "error: " << e.what() << '\n';
        return 1;
    }
}
