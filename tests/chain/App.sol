// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// App contracts with the functions and events that dstack's key service and our reader ask for, in the forms that
// releases have had; and some that are not what they seem.

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {Ownable2StepUpgradeable} from "@openzeppelin/contracts-upgradeable/access/Ownable2StepUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";

abstract contract App is OwnableUpgradeable, UUPSUpgradeable {
    mapping(bytes32 => bool) public allowedComposeHashes;
    bool public allowAnyDevice;

    event ComposeHashAdded(bytes32 composeHash);
    event ComposeHashRemoved(bytes32 composeHash);

    constructor() {
        _disableInitializers();
    }

    function start(address owner, bytes32 composeHash) external initializer {
        allowAnyDevice = true;
        allowedComposeHashes[composeHash] = true;
        emit ComposeHashAdded(composeHash);
        __Ownable_init(owner);
    }

    function addComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = true;
        emit ComposeHashAdded(composeHash);
    }

    function removeComposeHash(bytes32 composeHash) external onlyOwner {
        allowedComposeHashes[composeHash] = false;
        emit ComposeHashRemoved(composeHash);
    }

    function _authorizeUpgrade(address) internal override onlyOwner {}
}

/// The form of older releases: one step to another owner, no rule on the platform's state.
contract OneStepApp is App {}

/// The form of newer releases.
contract TwoStepApp is App, Ownable2StepUpgradeable {
    bool public requireTcbUpToDate;

    function transferOwnership(address to) public override(OwnableUpgradeable, Ownable2StepUpgradeable) onlyOwner {
        Ownable2StepUpgradeable.transferOwnership(to);
    }

    function _transferOwnership(address to)
        internal
        virtual
        override(OwnableUpgradeable, Ownable2StepUpgradeable)
    {
        Ownable2StepUpgradeable._transferOwnership(to);
    }
}

/// Gives up its owner and forgets to withdraw what it offered.
contract ForgetfulApp is TwoStepApp {
    function _transferOwnership(address to) internal override {
        OwnableUpgradeable._transferOwnership(to);
    }
}

/// Changes what is allowed without saying so.
contract SilentApp is TwoStepApp {
    function slip(bytes32 composeHash, bool allowed) external onlyOwner {
        allowedComposeHashes[composeHash] = allowed;
    }
}

/// The contract of a key service.
contract KeyService {
    struct KmsInfo {
        bytes k256Pubkey;
        bytes caPubkey;
        bytes quote;
        bytes eventlog;
    }

    KmsInfo public kmsInfo;
    mapping(address => bool) public registeredApps;

    function setKeys(bytes calldata k256, bytes calldata ca) external {
        kmsInfo = KmsInfo(k256, ca, "", "");
    }

    function registerApp(address app) external {
        registeredApps[app] = true;
    }
}

/// Says that it waits for a year, and does not.
contract PretendedTimelock {
    function getMinDelay() external pure returns (uint256) {
        return 365 days;
    }
}
